"""How reward becomes gradient: keep, credit, weigh, divide. Arrays only."""
