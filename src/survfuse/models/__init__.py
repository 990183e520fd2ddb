"""The models of a leaderboard, of every family, by name."""
