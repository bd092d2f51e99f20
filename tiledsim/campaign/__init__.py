"""Campaigns: many shots that differ in what a table has columns for.

A campaign is the scene of one shot and a table with a row a shot.  Rows come from distributions,
files and Python (:mod:`tiledsim.campaign.table`); the scene of a single shot is derived from both
just before it is rendered (:mod:`tiledsim.campaign.one_shot`), so that kernels know one shot only.
"""
