"""What an episode costs an env, and what collecting them costs the learner."""
