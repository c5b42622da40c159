"""A local market that knows nothing of the shipped one: own node, own contracts, own layout."""
