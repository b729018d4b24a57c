"""Small networks of random weights, of many families: what benchmarks look at, and the tests' too."""
