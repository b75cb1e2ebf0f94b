"""What is measured: the same scenarios by several clients, each in a process of its own.

A client gets one JSON object as its argument (`Task`) and prints one JSON object.
"""
