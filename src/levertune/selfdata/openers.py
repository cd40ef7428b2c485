"""First words of requests, given to a model so that what it asks for varies."""

OPENERS = (
    "What is the main purpose of", "Explain in one sentence why", "Give one reason why",
    "What does the word", "Write a short sentence about", "Name three", "How can I",
    "What are two benefits of", "Describe in one sentence", "Why do", "What do people use",
    "What happens when", "List three", "Suggest a short title for a story about",
    "What is a good way to", "Can you explain what", "Where would you find", "How do",
    "What is the difference between", "Give a short definition of", "Write one tip for",
    "What is an example of", "How does", "Summarise in one sentence what",
    "Why is it important to", "What tools are needed to", "In one sentence, what is",
    "Give me a short piece of advice about", "What is one common mistake when",
    "Briefly, how does", "What should I know about", "Which season is best for",
    "Write a short greeting card message about", "What kind of", "Tell me one fact about",
    "What are some common types of",
)  # fmt: skip
