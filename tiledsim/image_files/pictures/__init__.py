"""Pictures for people: colours, contours, what explains an image."""
