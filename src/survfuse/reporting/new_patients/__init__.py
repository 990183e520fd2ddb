"""The pages and documents of new patients, each made of the record of the prediction alone."""
