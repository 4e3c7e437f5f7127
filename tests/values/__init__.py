"""Reading bytes, JSON and tables: functions of values."""
