"""`cost-ops compliance check`: controls of a profile, judged by the settings and the database as
they are."""
