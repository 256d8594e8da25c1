"""What a policy would be worth, from choices that another one logged."""
