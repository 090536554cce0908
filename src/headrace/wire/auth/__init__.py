"""Who is calling, and for which account and region."""
