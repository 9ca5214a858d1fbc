"""What the answers of a listening test say: strengths, means, who listens, and what would change the conclusion.

Pure: judgments in, records out. Candidates are names here, whatever they stand for; a page may put letters in their
place and nothing of what is said changes.
"""
