"""Commands in the words of other programs, and what compares them with tiledsim."""
