"""Tools of those who look after SIAN; the package does not hold them."""
