"""The hash chain over the log: made behind the writers, checked, and sealed.

What a verifier needs, best on one REPEATABLE READ snapshot (several share it by its name):

    at = blocks.chain_end(connection)    at.block, at.position, at.head; at.unchained, at.is_stuck
    checking.check(connection)          everything; yields `findings.Broken`
    checking.check(connection, 1, 500)  and check(connection, 501): the same, for two at once
    seal.check_seal(connection, document, public_key)
                                        that the chain has the sealed head; that the rows lead to
                                        it is `check`'s to show: it proves nothing without that
"""
