"""Two states of the tables, the operations that lead from one to the other, and the questions that this leaves."""
