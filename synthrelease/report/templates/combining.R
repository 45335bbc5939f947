# What several synthetic copies of one table say together, and how to read one large synthetic table.
# The same as combining.py, which says why the rules for missing data are wrong here. Needs R alone.
#
#   fits <- lapply(copies, function(copy) glm(outcome ~ age + sex, binomial, copy))
#   combine_copies(sapply(fits, coef), sapply(fits, function(fit) diag(vcov(fit))), rows = 1000, real_rows = 1000)

# estimates, variances: one column a copy, one row an estimate (a plain vector: one estimate, one entry a copy).
# variances: squared standard errors as an ordinary formula gives them on each copy of `rows` rows.
combine_copies <- function(estimates, variances, rows, real_rows, confidence = 0.95, null = 0) {
  if (is.null(dim(estimates))) estimates <- matrix(estimates, nrow = 1)
  if (is.null(dim(variances))) variances <- matrix(variances, nrow = 1)
  copies <- ncol(estimates)
  stopifnot(copies >= 2, dim(estimates) == dim(variances), is.finite(estimates), variances >= 0)
  estimate <- rowMeans(estimates)
  within <- rowMeans(variances) * rows / real_rows
  between <- apply(estimates, 1, var)
  df <- ifelse(between > 0, (copies - 1) * (1 + copies * within / between)^2, Inf)
  .combined(estimate, within + between / copies, df, confidence, null)
}

# One table, not copies: T = v N / n + v. Multiply a chi-squared statistic of one table by n / (n + N).
one_table <- function(estimate, variance, rows, real_rows, confidence = 0.95, null = 0) {
  .combined(estimate, variance * (rows / real_rows + 1), Inf, confidence, null)
}

# tables: a list of contingency tables of the same two columns, one a copy.
chi_squared_copies <- function(tables, real_rows) {
  copies <- length(tables)
  stopifnot(copies >= 2)
  total <- Reduce(`+`, tables)
  rows <- sum(total) / copies
  total <- total[rowSums(total) > 0, colSums(total) > 0, drop = FALSE]
  stopifnot(dim(total) >= 2)
  shares <- total / sum(total)
  expected <- outer(rowSums(shares), colSums(shares))
  patients <- real_rows / (1 + (1 + real_rows / rows) / copies)
  statistic <- patients * sum((shares - expected)^2 / expected)
  df <- prod(dim(total) - 1)
  data.frame(statistic = statistic, df = df, p_value = pchisq(statistic, df, lower.tail = FALSE))
}

.combined <- function(estimate, variance, df, confidence, null) {
  error <- sqrt(variance)
  reach <- qt(0.5 + confidence / 2, df) * error
  data.frame(
    estimate = estimate, error = error, df = df, low = estimate - reach, high = estimate + reach,
    p_value = 2 * pt(-abs(estimate - null) / error, df)
  )
}
