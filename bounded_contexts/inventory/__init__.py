"""Inventory: what there is to sell, and for whom it is held.

Stock item    units of one SKU: free, reserved for orders, sold; never less than none.
Reservation   what one order holds of several stock items: all lines or nothing.
"""
