"""What every room needs: text in one line, files written whole or not at all."""
