"""Real data: data modules that hand every round of a game its minibatches."""
