"""The autoscaling policy on one machine: real service processes behind a real balancer."""
