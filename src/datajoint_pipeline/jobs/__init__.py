"""Computing on many machines."""
