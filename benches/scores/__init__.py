"""What counting an episode costs an env, and what collecting the counts costs the learner."""
