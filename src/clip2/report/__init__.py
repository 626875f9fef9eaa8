"""Results for people: tables on the console and figures."""
