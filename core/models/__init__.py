"""The networks. Importing this package loads no torch: tables and descriptions of networks are for the server as
well.
"""
