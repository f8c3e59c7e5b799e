# kind label ticks answered lost rate -> one line for each kind and label, medians over the rounds.
{
    key = $1 " " $2
    if (!(key in rounds)) { keys[++count] = key }
    at = ++rounds[key]
    cost[key, at] = $4 ? $3 / hertz / $4 * 1e6 : 0
    rate[key, at] = $6
    lost[key] += $5
}

function median(of, key,    sorted, total, i, j, swap) {
    total = rounds[key]
    for (i = 1; i <= total; i++) { sorted[i] = of[key, i] }
    for (i = 2; i <= total; i++) {
        for (j = i; j > 1 && sorted[j] < sorted[j - 1]; j--) {
            swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap
        }
    }
    return sorted[int((total + 1) / 2)]
}

END {
    for (i = 1; i <= count; i++) {
        split(keys[i], word, " ")
        floor = median(cost, word[1] " null")
        here = median(cost, keys[i])
        printf "%-15s %-9s %6.2f us a query, %5.2f of null, %8d a second, %d lost\n",
            word[1], word[2], here, floor ? here / floor : 0, median(rate, keys[i]), lost[keys[i]]
    }
}
