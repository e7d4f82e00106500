"""What GitLab tells a job."""
