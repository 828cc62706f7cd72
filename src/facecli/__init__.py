"""Face verification and identification."""
