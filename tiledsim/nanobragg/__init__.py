"""nanoBragg's command line: its flags, its headers, and the experiment that they mean."""
