"""The three places where vectors enter a frozen model, each written once."""
