"""The page of ``tiledsim view``."""
