"""The machinery: settings, connection, server and migrations; knows no table of ours."""
