module tokenwatch.test/habits

go 1.26.0
