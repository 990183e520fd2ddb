"""The models of a leaderboard, of every kind, by name."""
