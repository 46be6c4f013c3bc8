from contextkit.messages import Message
def problems(messages):
    return []
