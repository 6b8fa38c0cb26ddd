"""Two models, the operations that lead from one to the other, and what only a person knows of that."""
