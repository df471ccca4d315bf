"""Runs as the API reads them: kept in memory as columns that follow the ledger, within bounds."""
