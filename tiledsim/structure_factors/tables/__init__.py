"""Tables of structure factors as text and as nanoBragg's dump."""
