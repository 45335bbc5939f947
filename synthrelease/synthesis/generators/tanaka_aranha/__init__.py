"""The GAN of Tanaka & Aranha 2019, as published."""
