"""ECR and the AWS secret stores, with boto3."""
