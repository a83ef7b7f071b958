"""What meets a chip in the laboratory: traces, images, conformance programs, known answers, a stepper."""
