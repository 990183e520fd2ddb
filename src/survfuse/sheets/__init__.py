"""Reading the sheets that people bring, and telling what is wrong with them."""
