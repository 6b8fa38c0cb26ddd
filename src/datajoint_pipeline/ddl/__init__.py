"""Operations become ordered steps, with the queries that count what the rows say against them."""
