"""What every stage needs: errors, atomic files, isolated processes, batches, devices."""
