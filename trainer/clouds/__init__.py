"""Clients of Amazon's and Google's services: who we are, where they answer, and what their errors mean."""
