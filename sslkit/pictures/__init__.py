"""Pictures for people: contact sheets of views, and nearest neighbours."""
