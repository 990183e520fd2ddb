"""What is known of patients, one folder per modality, and what joins the modalities."""
