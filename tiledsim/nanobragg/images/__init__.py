"""What nanoBragg writes and prints: images, their headers, statistics, printouts."""
